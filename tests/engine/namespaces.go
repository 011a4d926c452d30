package main

import (
	"regexp"
	"strings"
	"time"

	"github.com/centrifugal/centrifuge"
)

// private is the prefix of channels to which a client subscribes only with a token.
const private = "$"

var ascii = regexp.MustCompile(`^[\x00-\x7f]*$`)

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// namespace is the history that the relay keeps of each channel of the namespace.
type namespace struct {
	size int
	ttl  time.Duration
}

// namespaces maps the name of each namespace to its settings.
type namespaces map[string]namespace

// of returns the namespace of a channel, or the error of Centrifugo: it checks the namespace first, then the name in it.
// A channel without a namespace, or with an empty one, fails with the error none: Centrifugo allows nothing in such
// channels unless configured, and each command has its own error for that. A private channel belongs to the namespace
// after its prefix.
func (n namespaces) of(channel string, none *centrifuge.Error) (namespace, error) {
	name, rest, found := strings.Cut(strings.TrimPrefix(channel, private), ":")
	if !found || name == "" {
		if !ascii.MatchString(channel) {
			return namespace{}, centrifuge.ErrorBadRequest
		}
		return namespace{}, none
	}
	ns, found := n[name]
	if !found {
		return namespace{}, centrifuge.ErrorUnknownChannel
	}
	if !uuid.MatchString(rest) {
		return namespace{}, centrifuge.ErrorBadRequest
	}
	return ns, nil
}
