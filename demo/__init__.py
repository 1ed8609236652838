"""``make demo``: e-mail tasks through a real broker to a real mail server, counted at both ends; then dead letters are replayed."""
