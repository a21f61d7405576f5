function work(requests)
    while true do end
end
