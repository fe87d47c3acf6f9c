INSERT IGNORE INTO rating_counts (board, rating, players)
  SELECT 0, rating, COUNT(*) FROM users GROUP BY rating
