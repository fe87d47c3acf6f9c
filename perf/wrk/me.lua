-- GET of the own profile. Arguments: a file with one session token a line.
local requests = {}

function init(args)
  for token in io.lines(args[1]) do
    requests[#requests + 1] =
      wrk.format("GET", "/api/v1/me", { ["Authorization"] = "Bearer " .. token, ["Host"] = wrk.host })
  end
  math.randomseed(os.time())
end

function request()
  return requests[math.random(#requests)]
end
