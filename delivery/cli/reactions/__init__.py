"""`delivery reactions`: the commands for reactions (webhook endpoints)."""
