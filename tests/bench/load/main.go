// load asks an endpoint over mutual TLS, as many clients with a certificate each, and prints what came back as JSON.
//
// It is a closed loop: each connection sends its next request when the last was answered. No session is ever resumed.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

type client struct {
	ID   string `json:"id"`
	Cert string `json:"cert"`
	Key  string `json:"key"`
}

type caller struct {
	pair    tls.Certificate
	request []byte
}

type result struct {
	Answers  int            `json:"answers"` // with those of the warm-up
	Requests int            `json:"requests"`
	Seconds  float64        `json:"seconds"`
	Rate     float64        `json:"rate"`
	P50      float64        `json:"p50_ms"`
	P99      float64        `json:"p99_ms"`
	Max      float64        `json:"max_ms"`
	Errors   map[string]int `json:"errors"`
	Sample   string         `json:"sample"`
}

type worker struct {
	times   []time.Duration
	answers int
	errors  map[string]int
	// The last one: a server that keeps so many tokens only may have forgotten the first.
	last []byte
}

var (
	address     = flag.String("address", "", "host:port")
	path        = flag.String("path", "/token", "path")
	form        = flag.String("form", "", "body; &client_id=... is added to it")
	clientsFile = flag.String("clients", "", "JSON array of {id, cert, key}, PEM")
	caFile      = flag.String("ca", "", "CA certificates of the server, PEM")
	connections = flag.Int("connections", 1, "how many at a time")
	each        = flag.Int("each", 0, "requests over a connection, then the next client connects; 0: no end")
	seconds     = flag.Float64("seconds", 3, "how long is measured")
	warmup      = flag.Float64("warmup", 0.5, "how long is not measured before")
	next        atomic.Int64
)

func main() {
	flag.Parse()
	callers, roots := read()
	begin := time.Now().Add(time.Duration(*warmup * float64(time.Second)))
	end := begin.Add(time.Duration(*seconds * float64(time.Second)))
	workers := make([]*worker, *connections)
	var group sync.WaitGroup
	for i := range workers {
		workers[i] = &worker{errors: map[string]int{}}
		group.Go(func() { workers[i].run(callers, roots, begin, end) })
	}
	group.Wait()
	if err := json.NewEncoder(os.Stdout).Encode(sum(workers)); err != nil {
		fail(err)
	}
}

func (w *worker) run(callers []caller, roots *x509.CertPool, begin, end time.Time) {
	for time.Now().Before(end) {
		one := &callers[int(next.Add(1)-1)%len(callers)]
		if err := w.connection(one, roots, begin, end); err != nil {
			w.errors[err.Error()]++
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// connection counts the handshake as part of its first request only where each request has its own.
func (w *worker) connection(one *caller, roots *x509.CertPool, begin, end time.Time) error {
	started := time.Now()
	raw, err := net.DialTimeout("tcp", *address, 10*time.Second)
	if err != nil {
		return err
	}
	defer raw.Close()
	if err := raw.SetDeadline(end.Add(10 * time.Second)); err != nil {
		return err
	}
	conn := tls.Client(raw, &tls.Config{
		RootCAs: roots, ServerName: "localhost", Certificates: []tls.Certificate{one.pair}, NextProtos: []string{"http/1.1"},
	})
	if err := conn.Handshake(); err != nil {
		return err
	}
	reader := bufio.NewReader(conn)
	for count := 0; (*each == 0 || count < *each) && time.Now().Before(end); count++ {
		if *each != 1 {
			started = time.Now()
		}
		if _, err := conn.Write(one.request); err != nil {
			return err
		}
		if err := w.answer(reader); err != nil {
			return err
		}
		w.answers++
		if now := time.Now(); !now.Before(begin) && now.Before(end) {
			w.times = append(w.times, now.Sub(started))
		}
	}
	return conn.Close()
}

func (w *worker) answer(reader *bufio.Reader) error {
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d: %.200s", response.StatusCode, body)
	}
	w.last = body
	return nil
}

func read() ([]caller, *x509.CertPool) {
	var clients []client
	if err := json.Unmarshal(file(*clientsFile), &clients); err != nil {
		fail(err)
	}
	callers := make([]caller, len(clients))
	for i, one := range clients {
		pair, err := tls.X509KeyPair([]byte(one.Cert), []byte(one.Key))
		if err != nil {
			fail(err)
		}
		body := *form + "&client_id=" + one.ID
		head := "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s"
		callers[i] = caller{pair, fmt.Appendf(nil, head, *path, len(body), body)}
	}
	roots := x509.NewCertPool()
	if len(callers) == 0 || !roots.AppendCertsFromPEM(file(*caFile)) {
		fail(fmt.Errorf("no client in %s, or no certificate in %s", *clientsFile, *caFile))
	}
	return callers, roots
}

func sum(workers []*worker) result {
	var times []time.Duration
	total := result{Seconds: *seconds, Errors: map[string]int{}}
	for _, w := range workers {
		times = append(times, w.times...)
		total.Answers += w.answers
		for text, count := range w.errors {
			total.Errors[text] += count
		}
		if len(w.last) > 0 {
			total.Sample = string(w.last)
		}
	}
	slices.Sort(times)
	total.Requests, total.Rate = len(times), float64(len(times))/(*seconds)
	if len(times) > 0 {
		at := func(part float64) float64 {
			return float64(times[min(len(times)-1, int(part*float64(len(times))))].Microseconds()) / 1000
		}
		total.P50, total.P99, total.Max = at(0.5), at(0.99), at(1)
	}
	return total
}

func file(name string) []byte {
	content, err := os.ReadFile(name)
	if err != nil {
		fail(err)
	}
	return content
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "load:", err)
	os.Exit(1)
}
