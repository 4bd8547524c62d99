// Command coredns is CoreDNS with the plugins that cluster DNS needs, and no others: the whole of it takes in the
// clients of every cloud, and minutes to build.
package main

import (
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/template"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
)

// The order of the chain is that of the directives, not that of the Corefile: CoreDNS' own order is kept.
func init() {
	dnsserver.Directives = []string{"bind", "ready", "errors", "template", "cache", "kubernetes"}
}

func main() {
	coremain.Run()
}
