"""Tests of `delivery.testing`."""
