// SPDX-License-Identifier: MIT
// The cases of bench/micro.c on Go's runtime; bench/README.md has the definitions. One round of each case that is named, a line of
// JSON a measured figure.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
)

type settings struct {
	quick bool
	count int // of tasks, for the cases that have a curve; 0: not given
}

func (s settings) pick(full, quick int) int {
	if s.quick {
		return quick
	}
	return full
}

var cases = []struct {
	name string
	run  func(settings)
}{
	{"spawn_join", spawnJoin},
	{"spawn_many_local", spawnManyLocal},
	{"yield_many", yieldMany},
	{"chained_spawn", chainedSpawn},
	{"ping_pong", pingPong},
	{"chan_pingpong", chanPingPong},
	{"mpsc_1", func(s settings) { mpsc(s, "mpsc_1", 1) }},
	{"mpsc_4", func(s settings) { mpsc(s, "mpsc_4", 4) }},
	{"mutex_2", func(s settings) { mutex(s, "mutex_2", 2, false) }},
	{"mutex_64", func(s settings) { mutex(s, "mutex_64", 64, false) }},
	{"mutex_wake", func(s settings) { mutex(s, "mutex_wake", 4, true) }},
	{"timers", timers},
	{"timeout_unused", timeoutUnused},
	{"live", live},
}

func usage(problem string) {
	fmt.Fprintf(os.Stderr, "micro: %s; usage: micro CASE... [--workers N] [--count N] [--quick] [--list]\n", problem)
	os.Exit(2)
}

func number(args []string, at int) int {
	if at < len(args) {
		if n, err := strconv.Atoi(args[at]); err == nil && n > 0 {
			return n
		}
	}
	usage("a number is missing")
	return 0
}

func find(name string) func(settings) {
	for _, c := range cases {
		if c.name == name {
			return c.run
		}
	}
	usage("no case " + name)
	return nil
}

func main() {
	s := settings{}
	workers := 2
	var wanted []func(settings)
	args := os.Args[1:]
	for i := 0; i < len(args); i++ {
		switch args[i] {
		case "--workers":
			i++
			workers = number(args, i)
		case "--count":
			i++
			s.count = number(args, i)
		case "--quick":
			s.quick = true
		case "--list":
			for _, c := range cases {
				fmt.Println(c.name)
			}
			return
		default:
			wanted = append(wanted, find(args[i]))
		}
	}
	runtime.GOMAXPROCS(workers)
	for _, run := range wanted {
		run(s)
	}
}
