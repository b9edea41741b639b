"""Built-in English calibration texts, used when the user gives none: varied subjects and styles, 3 to 144 words.

Activation ranges depend on a text's length more than on its subject, so short and long texts alternate. The texts were
written for this file; the people, towns and companies in them are fictitious.
"""

from __future__ import annotations

# One text per paragraph.
_TEXTS = """
Not bad at all.

Please close the window before you leave, because the forecast says that it will rain tonight.

The council voted on Tuesday to reopen the old railway bridge at Harl Mill, eleven years after a flood carried away
two of its five arches. Work begins in March and should cost 4.2 million, of which the region pays half. "Nobody
believed that we would live to see it," said Maud Ferrier, who has led the campaign from the back room of her bakery
since the week of the storm. Until the bridge is ready, walkers still have to take the ferry, which runs every forty
minutes and not at all on Sundays. Critics of the plan say that the money would be better spent on the school, whose
roof was last mended in 1987.

How far is it to the station?

I ordered the blue kettle and got a green one, but it boils so fast that I have decided to keep it.

Beat three eggs with 150 g of sugar until the mixture is pale. Fold in the flour, a pinch of salt and the grated peel
of one lemon. Pour everything into a greased tin and bake it at 180 degrees for 35 minutes. Let the cake cool before
you cut it, or it will crumble.

Total: 1,249.50 EUR

Is there anything on the menu without milk, and could we sit outside?

Owls hear with ears that sit at different heights on the two sides of the head. A sound from below reaches one of them
a moment earlier than the other, and from that tiny gap the bird knows where in the grass a mouse is moving. Its
feathers end in a soft fringe, so that the wings make hardly a noise of their own.

What a waste of an evening! The plot makes no sense, the songs are forgettable, and even the dog looks bored.

Shares of Ostrava Glass rose 6.3% on Friday.

Dear Ms. Okafor, thank you for your letter of 14 May. We have looked into the matter and found that the second invoice
was sent to you by mistake. You need not pay it, and we are sorry for the trouble. The amount that you paid too much,
38.20, will be in your account within five working days. Should you have further questions, call us between 9 a.m. and
5 p.m. or write to help@example.com. With kind regards, Peter Lindqvist, customer service.

Turn left at the lights.

She laughed, shook her head, and said that she had never been to Lisbon in her life.

When a glacier moves, it carries along whatever lies beneath it. Stones frozen into the ice scratch the rock like the
grains of a file, and the scratches still point the way the ice went when it has been gone for ten thousand years.
Geologists measure their directions, plot them on a map, and draw from them the outline of ice sheets that nobody ever
saw. Where a valley was filled to the brim, it has the shape of a U; a river alone would have cut a V. At the end of
the glacier the load is dropped in a heap, and such a heap, grown over with pines, may well be the highest hill for
miles around.

The battery lasts two days, the screen is bright, and the price is fair. I would buy this phone again.

Who won the race?

The meeting has moved from Monday to Thursday, 3:30 p.m., room B12; bring the figures for the second quarter.

My grandfather kept bees behind the house, seven hives in a row, each painted another colour so that the bees would
find their own door. On warm evenings he sat on an upturned bucket among them, without veil or gloves, and listened.
He said that he could hear from their humming whether a hive had a queen. We children did not believe it. Years later
I read that a hive without a queen does sound different, lower and less even, and that there are people who measure it
with microphones. I should have liked to tell him. The hives are gone, but every June, when the lime trees are in
flower, there is a wild swarm or two in the old wall, and nobody has the heart to drive them off.

Warning: do not mix this product with bleach.

Anna Brandt flew from Oslo to Nairobi in October to interview the new director of the Lake Institute, Samuel Otieno.

To reset the router, hold the small button on the back with a pin until the light turns red, and wait for one minute.

It was neither good nor bad; it was simply long.

Scientists at the University of Tarnow report that a common moss can survive for weeks at minus eighty degrees, dry,
in the dark, and without oxygen. Once thawed and watered, nine of ten samples began to grow again. Whether the moss
would live on Mars is another question, the authors write, since the soil there contains salts that it did not meet in
the laboratory.

Why do cats purr?

The home side were two goals down at half-time, but scored three in the last twenty minutes and go top of the table.

I am not sure that I agree. If the rents go up again, the shop on the corner will close, and the one next to it as
well, and then what is left of the street? You say that others will come. Perhaps they will, but who is going to wait
for them?

Version 2.7.1 fixes a crash on start-up when the folder's name contains spaces (issue #4183).

Water boils at a lower temperature on a mountain, which is why beans take so long to cook up there.

The hotel is a ten minutes' walk from the beach, quiet, and spotless. Breakfast was the same every day: bread, cheese,
two kinds of jam, and coffee that could have been stronger. The staff went out of their way to help when our luggage
did not arrive, lent us jackets, and called the airline three times. The room itself is small, and the shower needs
some patience. If you want a pool and a bar, look elsewhere; if you want to sleep well and walk a lot, you will hardly
find anything better for 70 a night. We stayed for a week in early spring, had the terrace to ourselves, and have
already booked again for next year.

A red bicycle, slightly used, with lamp and basket, for sale.

He had promised to call before noon. At one he had not called, at two she stopped looking at the telephone, and at
three she went out to plant the beans.

In the year 1612 the town had 840 inhabitants, two mills, one doctor, and no fewer than nineteen inns.

Thanks, that works!

Every vote counts equally, says the law. But a district with few people sends as many members to the upper chamber as
one with many, and a court has now been asked whether both can be true. The judges heard the case for six hours, asked
almost nothing, and will decide before the summer. Lawyers for the smaller districts argue that the rule was a
condition of joining the union in the first place; those for the larger ones answer that nobody who agreed to it is
still alive.

The cup fell off the table and broke, and the cat looked at it as if someone else had done it.
"""

# Paragraphs, each followed by the questions that it answers, on lines that begin with a question mark.
_PASSAGES = """
The lighthouse on Skerra was built between 1851 and 1854 by the engineer Thomas Aird, who had the granite shipped from
quarries ninety miles away. It stands 41 metres tall, and its lamp was first lit with whale oil. Since 1978 it has had
no keeper.
? Who built the lighthouse on Skerra?
? How tall is the lighthouse?
? What was burned in its lamp at first?

Bread rises because yeast, a fungus, feeds on the sugar in the dough and gives off carbon dioxide. The gas is caught
in a net of gluten, a protein that forms when flour and water are kneaded. If the dough is too cold, the yeast hardly
works; above about 50 degrees it dies.
? Why does bread rise?
? What catches the gas in the dough?
? At which temperature does yeast die?

Honey keeps for years because it holds so little water that bacteria dry out in it.
? Why does honey keep so long?
? What happens to bacteria in honey?
? For how long does honey keep?

The river Senn rises at 1,900 metres in the Karst mountains, runs north for 210 kilometres, and ends in Lake Orlo.
Salmon used to climb it as far as the falls near Dorn. In 1936 a dam was built below the town, which gave it electric
light and cost it its fishermen. A ladder for fish, thirty basins of concrete one above the other, was added only in
2005. In its first year cameras counted 212 salmon on it, and by now there are some 4,000 each autumn. Otters have
come back as well, though nobody had invited them, and the anglers' club, which fought for the ladder for two decades,
is now fighting with the otters.
? Where does the river Senn end?
? What was built below Dorn in 1936?
? How many salmon were counted in the ladder's first year?

Marta Solberg opened her first shop for used instruments in Bergvik in 1999, with 300 violins that she had bought from
a school that was closing. Today the firm has eleven shops in four countries and employs 160 people. Its headquarters
moved to Copenhagen in 2014, but the workshop where the instruments are repaired has stayed in Bergvik.
? When did Marta Solberg open her first shop?
? Where are the instruments repaired?
? How many people work for the firm today?

Chess clocks came into use in the 1880s. Before that, players could think for as long as they liked, and some games
took more than fourteen hours; sandglasses were tried, but they were not exact. The early clocks were two pendulums on
a beam that tilted, so that one ran while the other stood still. Today's are electronic and can add a few seconds for
each move.
? When did chess clocks come into use?
? What was tried before chess clocks?
? What were the early chess clocks made of?

Tickets for the museum cost 12 for adults and 5 for children from six to fourteen; younger children do not pay. On the
first Sunday of the month everyone gets in free. The museum is open from 10 a.m. to 6 p.m., on Thursdays until 9 p.m.,
and closed on Mondays. Large bags must be left at the desk. Guided tours start at 11 a.m. and 3 p.m. and last about an
hour.
? How much is a ticket for an adult?
? On which day is the museum closed?
? How long does a guided tour last?

The poet Ilse Warnow was born in a mill near Gotland in 1871, the youngest of nine. She learned to read from her
brothers' schoolbooks and published her first poems at sixteen, under a man's name. "The Salt Road", the book that
made her famous, came out in 1902 and tells of the women who carried salt over the mountains on their backs. She never
married, travelled to Egypt and to Japan, and lost everything that she had in the crash of a bank. Her last years she
spent with a sister in the same mill, where she kept goats and answered letters from readers all over the world. When
she died in 1949, the train that brought people to the funeral had to be lengthened by three carriages. Her house has
been a school since 1960.
? How old was Ilse Warnow when her first poems were published?
? What is the book about that made her famous?
? When did Ilse Warnow die?

A solar cell turns light into current. When light strikes the silicon, it frees electrons, and a field inside the cell
pushes all of them to the same side. Most cells that are sold turn about a fifth of the light into power; the rest
becomes heat.
? What does a solar cell do?
? What becomes of the light that is not turned into power?
? What does light free in the silicon?

The parliament of Norland has 149 members, who are elected for four years. A law needs more than half of the votes
that are cast, a change of the constitution two thirds of all members. The president may send a law back once, but
must sign it if it is passed again. Sessions are held in the capital, Vesthavn, from September to June, and anyone may
listen from the gallery.
? How many members has the parliament of Norland?
? What is needed to change the constitution?
? What is the capital of Norland?

Ferries leave pier 3 at 7:15, 9:40 and 16:05.
? From which pier do the ferries leave?
? When does the last ferry leave?
? How many ferries are there?

The plague reached the valley in the spring of 1349, with a cloth merchant, as the chronicle has it. By August a third
of the people were dead, and there were not enough hands to bring in the harvest. The monks of Saint Odo opened their
barns and fed whoever came, which the chronicle praises, and raised the rent of the mills in the next year, which it
mentions without comment. Fields on the northern slope were given up and never ploughed again; under the beech trees
one can still see their edges when the sun is low. Those who had survived found that their work was worth more than
before. A mower who had earned two pence a day asked for four and got them, laws against it notwithstanding. Within a
generation there were free farmers on land where there had been serfs.
? When did the plague reach the valley?
? How much did a mower ask for a day?
? Who opened their barns?
"""


def _paragraphs(block: str) -> list[list[str]]:
    return [paragraph.splitlines() for paragraph in block.strip().split("\n\n")]


def texts() -> list[str]:
    """Returns the single texts; short and long ones alternate."""
    return [" ".join(lines) for lines in _paragraphs(_TEXTS)]


def questions() -> list[tuple[str, str]]:
    """Returns pairs of a question and the paragraph that answers it, grouped by paragraph."""
    pairs = []
    for lines in _paragraphs(_PASSAGES):
        context = " ".join(line for line in lines if not line.startswith("? "))
        pairs += [(line.removeprefix("? "), context) for line in lines if line.startswith("? ")]
    return pairs
