// SPDX-License-Identifier: MIT
// The fixed HTTP answer on Go: a goroutine a connection. bench/README.md has the definition.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	end      = "\r\n\r\n"
	readSize = 4096
)

var answer = []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 14\r\n\r\nHello, world!\n")

// How many requests end in data; matched: how much of an end the bytes before it were.
func countRequests(matched *int, data []byte) int {
	count, at := 0, *matched
	for _, b := range data {
		if b == end[at] {
			at++
		} else if b == '\r' {
			at = 1
		} else {
			at = 0
		}
		if at == len(end) {
			at = 0
			count++
		}
	}
	*matched = at
	return count
}

func serve(conn net.Conn, some bool) {
	defer conn.Close()
	buffer := make([]byte, readSize)
	matched := 0
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return
		}
		count := countRequests(&matched, buffer[:n])
		if some {
			blockSome(count)
		}
		switch count {
		case 0:
		case 1:
			_, err = conn.Write(answer)
		default:
			_, err = conn.Write(bytes.Repeat(answer, count))
		}
		if err != nil {
			return
		}
	}
}

const (
	blockLength = 100 * time.Millisecond
	someLength  = 20 * time.Millisecond // a request that blocks does so as long
	someOf      = 100                   // one request of as many blocks
)

// A call of C's that blocks the thread: to Go a system call, not time.Sleep.
func sleepInThread(duration time.Duration) {
	length := syscall.NsecToTimespec(int64(duration))
	for syscall.Nanosleep(&length, &length) == syscall.EINTR {
	}
}

var requests uint64

func blockSome(count int) {
	for i := 0; i < count; i++ {
		if (atomic.AddUint64(&requests, 1)-1)%someOf == 0 {
			sleepInThread(someLength)
		}
	}
}

func block(busy bool) {
	for {
		began := time.Now()
		if busy {
			for time.Since(began) < blockLength {
			}
		} else {
			sleepInThread(blockLength)
		}
		time.Sleep(blockLength)
	}
}

func main() {
	port := flag.Int("port", 8080, "port of 127.0.0.1")
	workers := flag.Int("workers", 2, "GOMAXPROCS")
	blocking := flag.String("block", "", "sleep, declared, busy or some")
	flag.Parse()
	runtime.GOMAXPROCS(*workers)
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprintf(os.Stderr, "go: listening on http://%s/\n", listener.Addr())
	for i := 0; i < *workers && *blocking != "" && *blocking != "some"; i++ {
		go block(*blocking == "busy")
	}
	for {
		conn, err := listener.Accept() // TCP_NODELAY is Go's default
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			time.Sleep(10 * time.Millisecond)
			continue
		}
		go serve(conn, *blocking == "some")
	}
}
