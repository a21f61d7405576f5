-- memcached over UDP, as in the paper: receive up to 16 messages in one system call, and send up to 16 replies in one.

function wait(set, limit)
    local count, events = sys.epoll_wait(set, limit)
    for i = 1, count do
        -- one datagram each; EAGAIN means that nothing is left
        local bytes, error_name = sys.recvfrom(events[i].fd, 1500)
        if error_name == "EAGAIN" then return end
    end
end

function work(requests)
    for i = 1, #requests do
        local request = requests[i]
        if request.call == "sendmsg" then
            sys.sendmsg(request.fd, request.bytes)
        end
    end
end
