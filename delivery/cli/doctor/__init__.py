"""`delivery doctor`: the command (`command`), and its test delivery (`loopback`)."""
