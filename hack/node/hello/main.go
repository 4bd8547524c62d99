// Command hello is what the tests of a node run in pods: it serves a greeting, and it fetches one.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == "get" {
		get(os.Args[2])
		return
	}
	serve()
}

// serve answers every request with the pod's name and the requested path, and logs a line for each.
func serve() {
	name, _ := os.Hostname()
	http.HandleFunc("/", func(answer http.ResponseWriter, request *http.Request) {
		log.Printf("asked for %s", request.URL.Path)
		fmt.Fprintf(answer, "hello from %s: %s\n", name, request.URL.Path)
	})
	log.Printf("%s listens on :8080", name)
	log.Fatal(http.ListenAndServe(":8080", nil))
}

// get prints what a URL answers; it ends with 1 where nothing does.
func get(url string) {
	client := http.Client{Timeout: 5 * time.Second}
	answer, err := client.Get(url)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer answer.Body.Close()
	if _, err := io.Copy(os.Stdout, answer.Body); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
