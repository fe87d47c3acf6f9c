-- Drops all sessions of a user but one. KEYS[1] the user's sessions, ARGV[1] the id to keep.
-- Answers how many were dropped.
local dropped = 0
for _, id in ipairs(redis.call('HKEYS', KEYS[1])) do
  if id ~= ARGV[1] then dropped = dropped + redis.call('HDEL', KEYS[1], id) end
end
return dropped
