"""Who is let in: tokens, pairing codes, origins and hosts."""
