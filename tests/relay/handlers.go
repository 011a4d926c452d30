package main

import (
	"context"
	"time"

	"github.com/centrifugal/centrifuge"
)

// streamMetaTTL is how long a channel's epoch and offset outlive its publications: Centrifugo's default.
const streamMetaTTL = 30 * 24 * time.Hour

// handle makes the node answer its clients as Centrifugo does with these namespaces, anonymous access and, where
// token is not empty, that one token.
func handle(node *centrifuge.Node, channels namespaces, token string) {
	node.OnConnecting(func(_ context.Context, e centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		if e.Token != "" && e.Token != token {
			return centrifuge.ConnectReply{}, centrifuge.DisconnectInvalidToken
		}
		// The empty user is Centrifugo's anonymous one.
		return centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{UserID: ""}}, nil
	})
	// Presence, presence stats and RPC have no handler on purpose: the library then answers 108, as Centrifugo does.
	node.OnConnect(func(client *centrifuge.Client) {
		client.OnSubscribe(func(e centrifuge.SubscribeEvent, answer centrifuge.SubscribeCallback) {
			_, err := channels.of(e.Channel)
			answer(centrifuge.SubscribeReply{Options: centrifuge.SubscribeOptions{
				EnablePositioning: true,
				EnableRecovery:    true,
				HistoryMetaTTL:    streamMetaTTL,
			}}, err)
		})
		client.OnPublish(func(e centrifuge.PublishEvent, answer centrifuge.PublishCallback) {
			ns, err := channels.of(e.Channel)
			if err != nil {
				answer(centrifuge.PublishReply{}, err)
				return
			}
			result, err := node.Publish(
				e.Channel, e.Data,
				centrifuge.WithHistory(ns.size, ns.ttl, streamMetaTTL),
				centrifuge.WithClientInfo(e.ClientInfo),
			)
			answer(centrifuge.PublishReply{Result: &result}, err)
		})
		client.OnHistory(func(e centrifuge.HistoryEvent, answer centrifuge.HistoryCallback) {
			if _, err := channels.of(e.Channel); err != nil {
				answer(centrifuge.HistoryReply{}, err)
				return
			}
			result, err := node.History(
				e.Channel,
				centrifuge.WithHistoryFilter(e.Filter),
				centrifuge.WithHistoryMetaTTL(streamMetaTTL),
			)
			answer(centrifuge.HistoryReply{Result: &result}, err)
		})
	})
}
