-- Puts a versioned value unless a newer one is held.
-- KEYS[1] the row's key. ARGV[1] the value: version (8 bytes, big-endian), kind, payload.
-- ARGV[2] time to live in milliseconds. Answers 1 if it was put, 0 if a newer version is held.
-- Versions stay below 2^53, where a Lua number is exact. (Comparing the bytes as strings would
-- depend on the server's locale.)
local function version(value)
  local n = 0
  for i = 1, 8 do n = n * 256 + string.byte(value, i) end
  return n
end
local held = redis.call('GET', KEYS[1])
if held and #held >= 8 and version(held) > version(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
