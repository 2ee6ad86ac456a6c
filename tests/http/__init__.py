"""Tests of HTTP exchanges, against servers on raw sockets."""
