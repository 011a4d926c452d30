"""The monitor's pages in a real browser, over a real daemon, in each kind of trouble."""
