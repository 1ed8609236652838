"""``make demo``: e-mail tasks through a real broker to a real mail server, with counts at both ends and a replay of dead letters."""
