// SPDX-License-Identifier: MIT
// The twin of examples/mini_redis on Go, for tools/bench redis: a goroutine a connection, 64 maps with a lock each, bufio. It has
// the commands that are measured: PING GET SET INCR.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"hash/maphash"
	"io"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
)

const shardCount = 64

type shard struct {
	sync.Mutex
	values map[string][]byte
}

var (
	shards [shardCount]shard
	seed   = maphash.MakeSeed()
)

func shardOf(key []byte) *shard {
	var hash maphash.Hash
	hash.SetSeed(seed)
	hash.Write(key)
	return &shards[hash.Sum64()%shardCount]
}

// A line without its end; a number follows its first byte.
func readNumber(in *bufio.Reader, kind byte) (int, error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if len(line) < 4 || line[0] != kind {
		return 0, fmt.Errorf("expected '%c'", kind)
	}
	return strconv.Atoi(string(line[1 : len(line)-2]))
}

// The arguments are valid until the next call.
func readRequest(in *bufio.Reader, arguments [][]byte, memory []byte) ([][]byte, []byte, error) {
	arguments, memory = arguments[:0], memory[:0]
	count, err := readNumber(in, '*')
	var ends [16]int
	if err == nil && (count < 1 || count > len(ends)) {
		err = fmt.Errorf("too many arguments")
	}
	for i := 0; i < count && err == nil; i++ {
		var size int
		size, err = readNumber(in, '$')
		if err == nil && (size < 0 || size > 1<<29) {
			err = fmt.Errorf("invalid bulk length")
		}
		if err != nil {
			break
		}
		begin := len(memory)
		if cap(memory) < begin+size+2 {
			memory = append(make([]byte, 0, 2*(begin+size+2)), memory...)
		}
		memory = memory[:begin+size+2]
		_, err = io.ReadFull(in, memory[begin:])
		memory = memory[:begin+size]
		ends[i] = begin + size
	}
	begin := 0
	for i := 0; i < count && err == nil; i++ {
		arguments = append(arguments, memory[begin:ends[i]])
		begin = ends[i]
	}
	return arguments, memory, err
}

func writeBulk(out *bufio.Writer, value []byte) {
	var number [20]byte
	out.WriteByte('$')
	out.Write(strconv.AppendInt(number[:0], int64(len(value)), 10))
	out.WriteString("\r\n")
	out.Write(value)
	out.WriteString("\r\n")
}

func increment(out *bufio.Writer, key []byte) {
	s := shardOf(key)
	s.Lock()
	number, err := int64(0), error(nil)
	if value, ok := s.values[string(key)]; ok {
		number, err = strconv.ParseInt(string(value), 10, 64)
	}
	if err == nil {
		number++
		s.values[string(key)] = strconv.AppendInt(nil, number, 10)
	}
	s.Unlock()
	if err != nil {
		out.WriteString("-ERR value is not an integer or out of range\r\n")
		return
	}
	var text [20]byte
	out.WriteByte(':')
	out.Write(strconv.AppendInt(text[:0], number, 10))
	out.WriteString("\r\n")
}

func run(out *bufio.Writer, arguments [][]byte) {
	switch name := strings.ToLower(string(arguments[0])); {
	case name == "ping" && len(arguments) == 1:
		out.WriteString("+PONG\r\n")
	case name == "get" && len(arguments) == 2:
		s := shardOf(arguments[1])
		s.Lock()
		value, ok := s.values[string(arguments[1])] // never changed, only replaced
		s.Unlock()
		if ok {
			writeBulk(out, value)
		} else {
			out.WriteString("$-1\r\n")
		}
	case name == "set" && len(arguments) == 3:
		value := append([]byte(nil), arguments[2]...)
		s := shardOf(arguments[1])
		s.Lock()
		s.values[string(arguments[1])] = value
		s.Unlock()
		out.WriteString("+OK\r\n")
	case name == "incr" && len(arguments) == 2:
		increment(out, arguments[1])
	default:
		fmt.Fprintf(out, "-ERR unknown command '%s'\r\n", name)
	}
}

func serve(conn net.Conn) {
	defer conn.Close()
	in, out := bufio.NewReaderSize(conn, 16384), bufio.NewWriterSize(conn, 16384)
	var arguments [][]byte
	var memory []byte
	var err error
	for {
		arguments, memory, err = readRequest(in, arguments, memory)
		if err != nil {
			return
		}
		run(out, arguments)
		if in.Buffered() == 0 && out.Flush() != nil {
			return
		}
	}
}

func main() {
	port := flag.Int("port", 6379, "port of 127.0.0.1")
	workers := flag.Int("workers", 2, "GOMAXPROCS")
	flag.Parse()
	runtime.GOMAXPROCS(*workers)
	for i := range shards {
		shards[i].values = map[string][]byte{}
	}
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for {
		conn, err := listener.Accept()
		if err == nil {
			go serve(conn)
		}
	}
}
