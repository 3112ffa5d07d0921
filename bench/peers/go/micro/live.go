// SPDX-License-Identifier: MIT
package main

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Many goroutines that all wait: what spawning, waking and holding one costs.
func live(s settings) {
	count := s.count
	if count == 0 {
		count = s.pick(1000000, 10000)
	}
	wakers := make([]chan struct{}, 0, count)
	var waiting int64
	var left sync.WaitGroup
	left.Add(count)
	resident := residentBytes()
	t := begin()
	for i := 0; i < count; i++ {
		woken := make(chan struct{}, 1)
		go func() {
			atomic.AddInt64(&waiting, 1)
			<-woken
			left.Done()
		}()
		wakers = append(wakers, woken)
	}
	for atomic.LoadInt64(&waiting) < int64(count) {
		runtime.Gosched()
	}
	t.note("live_spawn", "ns/task", count)
	time.Sleep(10 * time.Millisecond)
	printSize("live_size", (residentBytes()-resident)/float64(count))
	t = begin()
	for _, waker := range wakers {
		waker <- struct{}{}
	}
	left.Wait()
	t.note("live_wake", "ns/task", count)
}
