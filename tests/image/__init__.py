"""The container image, built from the Dockerfile without Docker and run as a container runs it: `make image`."""
