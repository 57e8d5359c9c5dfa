package cutproxy_test

import (
	"fmt"
	"io"
	"net"

	"github.com/penstock-go/penstock/pubsub/pubsubtest/cutproxy"
)

func ExampleStart() {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer server.Close()
	go func() {
		for {
			c, err := server.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, "hello")
		}
	}()
	proxy, err := cutproxy.Start(server.Addr().String())
	if err != nil {
		panic(err)
	}
	defer proxy.Close()

	c, err := net.Dial("tcp", proxy.Addr()) // a client of the server, by way of the proxy
	if err != nil {
		panic(err)
	}
	defer c.Close()
	hello := make([]byte, 5)
	_, err = io.ReadFull(c, hello)
	fmt.Println(string(hello), err)
	proxy.Cut()
	_, err = c.Read(hello)
	fmt.Println("cut off:", err != nil)
	// Output:
	// hello <nil>
	// cut off: true
}
