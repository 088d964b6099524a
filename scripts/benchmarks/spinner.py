"""Keeps one core busy until it is ended: the neighbour that a robot's other programs are."""


def main() -> None:
    print("busy", flush=True)
    while True:
        pass


if __name__ == "__main__":
    main()
