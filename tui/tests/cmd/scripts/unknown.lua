function work(requests)
    sys.recvform(requests[1].fd, 100)
end
