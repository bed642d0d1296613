// SPDX-License-Identifier: MIT
//
// The benchmarks of coroutines in Go, on one processor; see coro_benches.h, whose protocol this is.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"
)

var done int64
var zero int64

func yieldOften(times int64) {
	for i := int64(0); i < times; i++ {
		done++
		runtime.Gosched()
	}
}

//go:noinline
func goDown(depth int64) int64 {
	if depth == 0 {
		runtime.Gosched()
		return zero
	}
	return goDown(depth-1) + zero
}

func goDownOften(times int64) {
	for i := int64(0); i < times; i++ {
		done++
		goDown(10)
	}
}

type pair struct {
	there, back chan struct{}
	oneHasCome  bool
}

var pairs []pair
var passers int

func passOften(times int64) {
	p := &pairs[passers/2]
	passers++
	first := !p.oneHasCome
	p.oneHasCome = !p.oneHasCome
	for i := int64(0); i < times; i++ {
		done++
		if first {
			p.there <- struct{}{}
			<-p.back
		} else {
			<-p.there
			p.back <- struct{}{}
		}
	}
}

func passAll(n, count int64) {
	pairs = make([]pair, n/2+1)
	for i := range pairs {
		pairs[i].there = make(chan struct{}, 1)
		pairs[i].back = make(chan struct{}, 1)
	}
	passers = 0
	spawn(n, passOften, count/n)
}

func countOnce(times int64) {
	done += times
}

func spawn(n int64, fn func(int64), times int64) {
	var group sync.WaitGroup
	group.Add(int(n))
	for i := int64(0); i < n; i++ {
		go func() {
			fn(times)
			group.Done()
		}()
	}
	group.Wait()
}

var benches = map[string]func(n, count int64){
	"yield": func(n, count int64) { spawn(n, yieldOften, count/n) },
	"deep":  func(n, count int64) { spawn(n, goDownOften, count/n) },
	"pass":  passAll,
	"spawn": func(n, count int64) {
		for i := int64(0); i < count/n; i++ {
			spawn(n, countOnce, 1)
		}
	},
}

func main() {
	runtime.GOMAXPROCS(1)
	if len(os.Args) < 2 || benches[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "no such benchmark")
		os.Exit(2)
	}
	bench := os.Args[1]
	options := flag.NewFlagSet(bench, flag.ExitOnError)
	options.String("v", "", "variant")
	n := options.Int64("n", 1000, "size")
	count := options.Int64("c", 1000000, "count")
	options.Parse(os.Args[2:])

	*count = *count / *n * *n
	benches[bench](*n, *n*(20000 / *n + 1))
	done = 0
	start := time.Now()
	benches[bench](*n, *count)
	ns := time.Since(start).Nanoseconds()
	if done != *count {
		fmt.Fprintln(os.Stderr, "everything must run")
		os.Exit(1)
	}
	fmt.Printf("bench=coro-%s lib=go n=%d value=%.2f unit=ns\n", bench, *n, float64(ns)/float64(*count))
}
