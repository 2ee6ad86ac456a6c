"""What the running program tells about itself."""
