-- Replaces a session's record, if it still exists: a revoked session does not come back.
-- KEYS[1] the user's sessions. ARGV[1] session id, ARGV[2] record. Answers 1 if it existed.
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
