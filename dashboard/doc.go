// Package dashboard is a page that shows what a program's pipelines, sockets, topics and
// dead letters are doing, and lets those whom the program allows it control them.
//
//	d, err := dashboard.New(dashboard.Config{}, dashboard.Pipeline(p))
//	mux.Handle("/dashboard/", d)
//
// The page shows what is in the snapshots of the rooms, names of users and keys of events
// among them: mount it behind the program's authentication, or on an address that only
// operators reach. Nothing can be controlled unless [Config.Allow] permits it.
//
// # Cost
//
// Without a viewer nothing runs. The first viewer starts one goroutine, which takes one
// snapshot at each [Config.Interval] and encodes what has changed once for all viewers; it
// ends with the last viewer. A viewer that is slow misses changes, and gets the whole state
// instead when it can take it.
//
// # Routes
//
// The last element of the path selects what is served, so that the handler works below any
// prefix. The page refers to the others by relative addresses.
//
//	/dashboard/          the page, with app.css and app.js beside it
//	/dashboard/state     GET: the state as JSON
//	/dashboard/events    GET: server-sent events: the state, then what changes
//	/dashboard/control   POST: an action
//	/dashboard/letters   GET: dead letters; POST: play them back
package dashboard
