// SPDX-License-Identifier: MIT
package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func check(ok bool, what string) {
	if !ok {
		panic("failed: " + what)
	}
}

// Processor time of all threads of this process.
func cpuNs() float64 {
	var used syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &used) == nil, "getrusage")
	return float64(used.Utime.Nano() + used.Stime.Nano())
}

// Resident memory of this process with its page tables.
func residentBytes() float64 {
	file, err := os.Open("/proc/self/status")
	check(err == nil, "/proc/self/status")
	defer file.Close()
	var kib float64
	for scanner := bufio.NewScanner(file); scanner.Scan(); {
		line := scanner.Text()
		if strings.HasPrefix(line, "VmRSS:") || strings.HasPrefix(line, "VmPTE:") {
			n, _ := strconv.ParseFloat(strings.Fields(line)[1], 64)
			kib += n
		}
	}
	return kib * 1024
}

// A stretch of work that is measured.
type stretch struct {
	cpu   float64
	began time.Time
}

func begin() stretch { return stretch{cpuNs(), time.Now()} }

func (s stretch) note(name, unit string, operations int) {
	took := float64(time.Since(s.began))
	printRow(name, unit, took/float64(operations), (cpuNs()-s.cpu)/float64(operations))
}

func printRow(name, unit string, value, cpu float64) {
	fmt.Printf("{\"case\": %q, \"unit\": %q, \"value\": %.3f, \"cpu\": %.3f}\n", name, unit, value, cpu)
}

func printSize(name string, value float64) {
	fmt.Printf("{\"case\": %q, \"unit\": \"bytes/task\", \"value\": %.3f}\n", name, value)
}
