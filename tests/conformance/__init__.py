"""What every relay must do, told in raw JSON frames, against each kind of relay."""
