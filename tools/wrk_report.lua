-- For wrk --script: prints the result as one line of JSON behind wrk's own report. Only done() is defined, so wrk's requests cost
-- what they cost without a script.
function done(summary, latency, requests)
    local e = summary.errors
    io.write(string.format(
        '{"requests": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, ' ..
        '"non_2xx": %d, "connect": %d, "read": %d, "write": %d, "timeout": %d}\n',
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), e.status, e.connect, e.read, e.write,
        e.timeout))
end
