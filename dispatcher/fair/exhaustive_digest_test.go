package fair

import (
	"encoding/binary"
	"hash/maphash"

	"github.com/penstock-go/penstock/internal/option"
)

// exCopy makes dst what src is. Both have one chunk of everything.
func exCopy(dst, src *Dispatcher[exEvent, uint8]) {
	keep := *dst
	*dst = *src
	dst.slots, dst.items, dst.extras = keep.slots, keep.items, keep.extras
	dst.groups, dst.classes, dst.levels = keep.groups, keep.classes, keep.levels
	dst.index, dst.tenants = keep.index, keep.tenants
	dst.root, dst.rootClass = keep.root, keep.rootClass
	dst.fire, dst.moved, dst.subs.all = keep.fire, keep.moved, keep.subs.all[:0]
	dst.subs.all = append(dst.subs.all, src.subs.all...)
	const top = 8 // more than there can be
	for i := range uint32(top) {
		*dst.slots.at(i) = *src.slots.at(i)
		*dst.items.at(i) = *src.items.at(i)
		*dst.extras.at(i) = *src.extras.at(i)
		*dst.classes.at(i) = *src.classes.at(i)
		*dst.levels.at(i) = *src.levels.at(i)
		g := dst.groups.at(i)
		heap := append(g.heap[:0], src.groups.at(i).heap...)
		*g = *src.groups.at(i)
		g.heap = heap
	}
	for k := range uint8(exKeys) {
		exCopyIndex(&dst.index, &src.index, top, k)
	}
	for k := range uint8(2) {
		exCopyIndex(&dst.tenants, &src.tenants, top, exTenant(exEvent{key: k}))
	}
	dst.absent = keep.absent
	clear(dst.absent)
	for k := range src.absent {
		dst.absent[k] = struct{}{}
	}
	dst.discarded = keep.discarded
}

// exCopyIndex copies the part of the index in which key is.
func exCopyIndex[K comparable](dst, src *keyIndex[K], top uint32, key K) {
	dst.seed = src.seed
	dst.keys.reach(top)
	src.keys.reach(top)
	for i := range top {
		*dst.keys.at(i) = *src.keys.at(i)
	}
	part := src.hash(key) >> 24
	d, s := &dst.parts[part], &src.parts[part]
	d.n = s.n
	d.cells = append(d.cells[:0], s.cells...)
}

func (x *exRun) newDispatcher() *Dispatcher[exEvent, uint8] {
	f := option.Must(New(func(e exEvent) uint8 { return e.key }, x.cfg))
	f.slots.reach(1)
	f.items.reach(1)
	f.extras.reach(1)
	f.groups.reach(1)
	f.classes.reach(1)
	f.levels.reach(1)
	return f
}

// digest is the meaning of the state, without the differences of states that behave
// the same.
func (x *exRun) digest(f *Dispatcher[exEvent, uint8]) uint64 {
	b := x.buf[:0]
	s := &x.state
	for i := range s.status {
		b = append(b, byte(s.status[i]), exBit(s.fresh[i]))
	}
	b = append(b, s.came, exBit(s.late))
	// It makes no difference which worker is which, except for whose turn it is.
	first := int(max(f.subs.head, 0))
	if f.subs.head < 0 && s.flying[1] > s.flying[0] {
		first = 1
	}
	for w := range s.flying {
		w = (w + first) % exWorkers
		b = append(b, exBit(s.asked[w]), byte(s.flying[w]))
	}
	name := map[uint32]byte{}
	for k := range uint8(exKeys) {
		b = append(b, exBit(s.parked[k]))
		i := f.index.find(k, f.index.hash(k))
		if i == 0 {
			b = append(b, 255)
			continue
		}
		name[i] = k
		slot := f.slots.at(i)
		b = x.digestSlot(b, f, slot)
		for n := slot.head; n != 0; n = f.items.at(n).next {
			it := f.items.at(n)
			b = append(b, byte(it.seq), byte(it.tries), byte(it.state))
		}
	}
	if f.cfg.Tenant != nil {
		for k := range uint8(2) {
			t := exTenant(exEvent{key: k})
			i := f.tenants.find(t, f.tenants.hash(t))
			if i == 0 {
				b = append(b, 255)
				continue
			}
			name[i] = 100 + k
			b = x.digestSlot(b, f, f.slots.at(i))
			b = x.digestGroup(b, f, f.slots.at(i).head, name)
		}
	}
	b = x.digestGroup(b, f, rootGroup, name)
	b = x.digestList(b, f, f.ghosts, name)
	for w := range s.flying { // tries of what is in flight
		if fl := s.flying[(w+first)%exWorkers]; fl >= 0 {
			for i := uint32(1); i <= f.topItem; i++ {
				if it := f.items.at(i); it.state == itemInFlight && it.seq == uint64(fl)+1 {
					b = append(b, byte(it.tries))
				}
			}
		}
	}
	x.buf = b
	return maphash.Bytes(x.seed, b)
}

func (x *exRun) digestSlot(b []byte, f *Dispatcher[exEvent, uint8], s *slot) []byte {
	b = append(b, byte(s.where), byte(s.flags))
	if f.measured {
		g := f.groups.at(s.group)
		b = binary.LittleEndian.AppendUint64(b, uint64(max(f.timesOf(s).tag-g.vtime, -f.burst())))
		return binary.LittleEndian.AppendUint32(b, uint32(s.credits))
	}
	return append(b, byte(s.credits), byte(min(f.class(s.group, s.class).round-s.round, uint32(f.credits))))
}

func (x *exRun) digestGroup(b []byte, f *Dispatcher[exEvent, uint8], group uint32, name map[uint32]byte) []byte {
	g := f.groups.at(group)
	b = append(b, byte(g.freshRun))
	for c := int32(1); c <= f.credits; c += 2 {
		b = x.digestList(b, f, *f.level(group, c), name)
	}
	b = x.digestList(b, f, f.class(group, 0).old, name)
	for _, e := range g.heap {
		b = append(b, name[e.ID])
	}
	if f.measured {
		b = binary.LittleEndian.AppendUint64(b, uint64(g.maxTag-g.vtime))
	}
	return append(b, 254)
}

func (x *exRun) digestList(b []byte, f *Dispatcher[exEvent, uint8], l slotList, name map[uint32]byte) []byte {
	for i := l.head; i != 0; i = f.slots.at(i).next {
		b = append(b, name[i])
	}
	return append(b, 253)
}

func exBit(v bool) byte {
	if v {
		return 1
	}
	return 0
}

func exTenant(e exEvent) string {
	if e.key == 0 {
		return "one"
	}
	return "two"
}
