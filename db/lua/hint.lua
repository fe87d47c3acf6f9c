-- Sets what a name leads to, for a reader: only if nothing is held, or still what the reader saw.
-- A writer's word (fence or new owner) that came in between stands.
-- KEYS[1] the name's key. ARGV[1] the value, ARGV[2] time to live in ms, ARGV[3] the value seen or ''.
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[3] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
