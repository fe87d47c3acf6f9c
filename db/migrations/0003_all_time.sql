INSERT IGNORE INTO boards (id, name, starts_at) VALUES (0, 'all time', '1970-01-01')
