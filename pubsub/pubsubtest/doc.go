// Package pubsubtest joins hubs of one process, for tests of what happens between
// nodes, and holds the contract of [pubsub.Remote] as tests.
//
// A [Network] encodes each message to bytes and each node decodes its own copy, as
// over a real backplane. Messages can be delayed, dropped, held up and cut off.
// It works in a bubble of testing/synctest.
//
//	network := pubsubtest.NewNetwork()
//	a, b := network.Hub(t, "a", pubsub.Config{}), network.Hub(t, "b", pubsub.Config{})
//
// An implementation of [pubsub.Remote] calls [TestRemote] from its own tests, and one of
// [pubsub.History] calls [TestHistory].
package pubsubtest
