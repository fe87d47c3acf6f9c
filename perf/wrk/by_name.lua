-- GET of profiles by username. Arguments: highest user number.
local highest = 200

function init(args)
  highest = tonumber(args[1]) or highest
  math.randomseed(os.time())
end

function request()
  return wrk.format("GET", "/api/v1/users/by-name/user" .. math.random(highest))
end
