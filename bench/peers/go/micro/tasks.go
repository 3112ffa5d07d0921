// SPDX-License-Identifier: MIT
package main

import (
	"runtime"
	"sync"
)

// The result comes back over a channel: how Go joins a goroutine. One for all, which is faster than one each or a WaitGroup.
func spawnAndJoin(count int) {
	result := make(chan int, 1)
	for i := 0; i < count; i++ {
		go func(i int) { result <- i }(i)
		check(<-result == i, "the result")
	}
}

func spawnJoin(s settings) {
	count := s.pick(1000000, 10000)
	spawnAndJoin(10000)
	t := begin()
	spawnAndJoin(count)
	t.note("spawn_join", "ns/op", count)
}

const crowd = 10000

func spawnCrowds(times int) {
	var left sync.WaitGroup
	for t := 0; t < times; t++ {
		left.Add(crowd)
		for i := 0; i < crowd; i++ {
			go left.Done()
		}
		left.Wait()
	}
}

func spawnManyLocal(s settings) {
	times := s.pick(200, 2)
	spawnCrowds(2)
	t := begin()
	spawnCrowds(times)
	t.note("spawn_many_local", "ns/op", times*crowd)
}

const (
	yielders = 200
	yields   = 1000
)

func yieldRounds(times int) {
	var left sync.WaitGroup
	for t := 0; t < times; t++ {
		left.Add(yielders)
		for i := 0; i < yielders; i++ {
			go func() {
				for n := 0; n < yields; n++ {
					runtime.Gosched()
				}
				left.Done()
			}()
		}
		left.Wait()
	}
}

func yieldMany(s settings) {
	times := s.pick(50, 1)
	yieldRounds(1)
	t := begin()
	yieldRounds(times)
	t.note("yield_many", "ns/yield", times*yielders*yields)
}

const links = 1000

func chainLink(at int, end chan<- int) {
	if at == links {
		end <- at
	} else {
		go chainLink(at+1, end)
	}
}

func runChains(times int) {
	end := make(chan int, 1)
	for t := 0; t < times; t++ {
		chainLink(0, end)
		check(<-end == links, "the length of the chain")
	}
}

func chainedSpawn(s settings) {
	times := s.pick(1000, 10)
	runChains(10)
	t := begin()
	runChains(times)
	t.note("chained_spawn", "ns/op", times*links)
}

const pairs = 1000

// A oneshot in Go: a channel for one value.
func play(left *sync.WaitGroup) {
	ping := make(chan int, 1)
	pong := make(chan int, 1)
	go func() { pong <- <-ping + 1 }()
	ping <- 1
	check(<-pong == 2, "the answer")
	left.Done()
}

func playAll(times int) {
	var left sync.WaitGroup
	for t := 0; t < times; t++ {
		left.Add(pairs)
		for i := 0; i < pairs; i++ {
			go play(&left)
		}
		left.Wait()
	}
}

func pingPong(s settings) {
	times := s.pick(500, 5)
	playAll(10)
	t := begin()
	playAll(times)
	t.note("ping_pong", "ns/pair", times*pairs)
}
