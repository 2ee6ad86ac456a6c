"""`delivery doctor`: the command (`command`), and the delivery that it tries (`loopback`)."""
