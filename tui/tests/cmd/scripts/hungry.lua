function work(requests)
    local t = {}
    while true do t[#t + 1] = string.rep("x", 10000) .. #t end
end
