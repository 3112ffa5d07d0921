// SPDX-License-Identifier: MIT
package main

import (
	"runtime"
	"sync"
)

func ping(rounds int) {
	toOther, toOne := make(chan int, 1), make(chan int, 1)
	done := make(chan bool)
	go func() {
		for n := range toOther {
			toOne <- n + 1
		}
		done <- true
	}()
	go func() {
		for n := 0; n < rounds; n++ {
			toOther <- n
			check(<-toOne == n+1, "the answer")
		}
		close(toOther)
	}()
	<-done
}

func chanPingPong(s settings) {
	rounds := s.pick(1000000, 10000)
	ping(1000)
	t := begin()
	ping(rounds)
	t.note("chan_pingpong", "ns/round trip", rounds)
}

func sendAll(producers, messages int) {
	channel := make(chan int, 1000)
	var left sync.WaitGroup
	left.Add(producers)
	for p := 0; p < producers; p++ {
		go func() {
			for n := 0; n < messages/producers; n++ {
				channel <- n
			}
			left.Done()
		}()
	}
	go func() {
		left.Wait()
		close(channel)
	}()
	received := 0
	for range channel {
		received++
	}
	check(received == messages, "messages received")
}

func mpsc(s settings, name string, producers int) {
	messages := s.pick(2000000, 20000)
	sendAll(producers, 20000)
	t := begin()
	sendAll(producers, messages)
	t.note(name, "ns/message", messages)
}

// A lock that is passed on in the order of arrival, as the definition asks: a channel of one, whose senders queue. sync.Mutex lets
// newcomers barge in, and is measured beside it.
type fifoMutex chan struct{}

func (m fifoMutex) Lock()   { m <- struct{}{} }
func (m fifoMutex) Unlock() { <-m }

func lockAll(lock sync.Locker, tasks, locks int, yielding bool) {
	var left sync.WaitGroup
	count := 0
	left.Add(tasks)
	for i := 0; i < tasks; i++ {
		go func() {
			for n := 0; n < locks/tasks; n++ {
				lock.Lock()
				count++
				if yielding {
					runtime.Gosched()
				}
				lock.Unlock()
			}
			left.Done()
		}()
	}
	left.Wait()
	check(count == locks, "the counter")
}

func mutexRow(s settings, name string, lock sync.Locker, tasks int, yielding bool) {
	locks := s.pick(1000000, 10000) / tasks * tasks
	lockAll(lock, tasks, 6400, yielding)
	t := begin()
	lockAll(lock, tasks, locks, yielding)
	t.note(name, "ns/lock", locks)
}

func mutex(s settings, name string, tasks int, yielding bool) {
	mutexRow(s, name, make(fifoMutex, 1), tasks, yielding)
	mutexRow(s, name+"_barging", &sync.Mutex{}, tasks, yielding)
}
