"""The choice of the next job: lanes with due work, claims, wake-ups, and the leases held."""
