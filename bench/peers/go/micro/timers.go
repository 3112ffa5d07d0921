// SPDX-License-Identifier: MIT
package main

import (
	"sync"
	"sync/atomic"
	"time"
)

// 2 to 3 s; the same sequence in every run and every program (xorshift64).
func pick(state *uint64) time.Duration {
	*state ^= *state << 13
	*state ^= *state >> 7
	*state ^= *state << 17
	return time.Duration(2000000000 + *state%1000000001)
}

func timers(s settings) {
	count := s.count
	if count == 0 {
		count = s.pick(1000000, 10000)
	}
	var started, early int64
	var left sync.WaitGroup
	random := uint64(88172645463325252)
	resident := residentBytes()
	t := begin()
	left.Add(count)
	for i := 0; i < count; i++ {
		go func(length time.Duration) {
			due := time.Now().Add(length)
			atomic.AddInt64(&started, 1)
			time.Sleep(length)
			if time.Now().Before(due) {
				atomic.AddInt64(&early, 1)
			}
			left.Done()
		}(pick(&random))
	}
	for atomic.LoadInt64(&started) < int64(count) {
		time.Sleep(10 * time.Millisecond)
	}
	bytes := (residentBytes() - resident) / float64(count)
	allAsleep := time.Since(t.began) < 2*time.Second // else the first may have woken
	left.Wait()
	took := float64(time.Since(t.began))
	check(early == 0, "never early")
	printRow("timers", "ms beyond 3 s", (took-3e9)/1e6, (cpuNs()-t.cpu)/1e6)
	if allAsleep {
		printSize("timers_size", bytes)
	}
}

// A closed channel is an operation that is always ready. time.NewTimer and Stop are what context.WithTimeout does, without the
// context.
func callWithDeadline(ready <-chan int, count int) {
	for i := 0; i < count; i++ {
		timer := time.NewTimer(time.Second)
		select {
		case <-ready:
		case <-timer.C:
			check(false, "the deadline was not to pass")
		}
		timer.Stop()
	}
}

func timeoutUnused(s settings) {
	count := s.pick(2000000, 20000)
	ready := make(chan int)
	close(ready)
	callWithDeadline(ready, 10000)
	t := begin()
	callWithDeadline(ready, count)
	t.note("timeout_unused", "ns/op", count)
}
