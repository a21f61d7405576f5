function work(requests)
    local x = = 1
end
