"""`delivery doctor`: what is checked (`checks`, `loopback`), and the command itself."""
