package websocket

import (
	"container/heap"
	"container/list"
	"net"
	"net/netip"
)

// waiting is the connections without a request, by address, in pure steps. It
// finds the one to close when there are too many: the oldest of the address with
// the most of them.
type waiting struct {
	where map[net.Conn]*list.Element // of its address's list; the values are waiter
	from  map[netip.Addr]*waitingFrom
	order waitingHeap
	n     uint64 // connections that have ever waited
}

// waiter is a connection that waits.
type waiter struct {
	nc    net.Conn
	since uint64 // smaller is older
	from  *waitingFrom
}

// waitingFrom is the connections of one address, the oldest first.
type waitingFrom struct {
	addr  netip.Addr
	list  *list.List
	index int // in the heap
}

// add adds a connection that begins to wait, or waits again.
func (w *waiting) add(nc net.Conn, addr netip.Addr) {
	if w.where == nil {
		w.where, w.from = make(map[net.Conn]*list.Element), make(map[netip.Addr]*waitingFrom)
	}
	w.remove(nc)
	f := w.from[addr]
	if f == nil {
		f = &waitingFrom{addr: addr, list: list.New()}
		w.from[addr] = f
	}
	w.n++
	w.where[nc] = f.list.PushBack(waiter{nc, w.n, f})
	if f.list.Len() == 1 {
		heap.Push(&w.order, f)
	} else {
		heap.Fix(&w.order, f.index)
	}
}

// remove takes a connection out, if it waits.
func (w *waiting) remove(nc net.Conn) {
	at := w.where[nc]
	if at == nil {
		return
	}
	delete(w.where, nc)
	f := at.Value.(waiter).from
	f.list.Remove(at)
	if f.list.Len() == 0 {
		heap.Remove(&w.order, f.index)
		delete(w.from, f.addr)
	} else {
		heap.Fix(&w.order, f.index)
	}
}

// evict takes out the connection to close, of which there must be one.
func (w *waiting) evict() net.Conn {
	nc := w.order[0].list.Front().Value.(waiter).nc
	w.remove(nc)
	return nc
}

// waitingHeap has the address with the most connections first; of several, the one
// with the oldest connection. It implements heap.Interface.
type waitingHeap []*waitingFrom

func (h waitingHeap) Len() int { return len(h) }

func (h waitingHeap) Less(i, j int) bool {
	a, b := h[i].list, h[j].list
	if a.Len() != b.Len() {
		return a.Len() > b.Len()
	}
	return a.Front().Value.(waiter).since < b.Front().Value.(waiter).since
}

func (h waitingHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements heap.Interface.
func (h *waitingHeap) Push(x any) {
	f := x.(*waitingFrom)
	f.index = len(*h)
	*h = append(*h, f)
}

// Pop implements heap.Interface.
func (h *waitingHeap) Pop() any {
	old := *h
	f := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return f
}
