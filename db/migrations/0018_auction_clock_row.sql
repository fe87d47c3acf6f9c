INSERT IGNORE INTO auction_clock (one, alive_at_ms, epoch) VALUES (1, 0, 0)
