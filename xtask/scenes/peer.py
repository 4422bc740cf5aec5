"""The other computers of a scene: accepts connections on the usual ports and keeps them."""
import selectors, socket, sys

selector = selectors.DefaultSelector()
for port in (22, 25, 53, 80, 443, 1080, 3128, 3333, 4444, 5432, 6379, 6667, 7000, 8080, 8443, 9001, 9050, 9090):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("0.0.0.0", port))
    listener.listen(50)
    selector.register(listener, selectors.EVENT_READ, "accept")
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("0.0.0.0", port))
    selector.register(datagrams, selectors.EVENT_READ, "read")
print("ready", flush=True)
kept = []
while True:
    for key, _ in selector.select():
        if key.data == "accept":
            kept.append(key.fileobj.accept()[0])
        else:
            key.fileobj.recvfrom(2048)
