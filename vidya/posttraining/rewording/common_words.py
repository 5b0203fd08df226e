"""Common English words, by which English is known, and what a typing mistake must not become."""

GREETING_WORDS = frozenset(
    """
afternoon again all bye byebye cheers cool day dear evening everyone friend good goodbye
goodnight great greetings hallo hello hey hi hiya hola howdy later morning nice night no nope ok
okay please see sorry sup sure thank thanks there thx welcome wow ya yeah yep yes yo you
""".split()
)
"""Words of which greetings, thanks, farewells and short answers consist."""

FUNCTION_WORDS = frozenset(
    """
about and any are been being best could did do dont favorite favourite from going got have how i
i'm im is know like live love many much my need of old our people please she should some that
the their them there these they thing think this those u ur want were what what's whats when
where where's which who who's why will with would you you're your yourself
""".split()
)
"""Small words of everyday questions that other languages hardly have."""

COMMON_WORDS = frozenset(
    """
ability able about above abroad academic accent accept accepted access accident account accounts
accurate achieve acme across act acting action active activity actor actors actual actually ad
adam add added addicted addition address admire admit adorable ads adult adults advance advanced
advice affect afford afraid africa after again against age agency agent ages ago agree agreed ah
ahead ahh ahhh ai air airport album alexa alive all allergic allow allowed allows almost alone
along alot already alright also although always am amazing amazon amen america american among
amount an anatomy ancient and android angel angle angry animal animals anime ankle annoying
another answer answers anti anxiety any anybody anymore anyone anything anytime anyway anyways
anywhere ap apart app apple apples applied apply applying apps april are area areas arent argue
arizona arm arms around arrange arrive arrived art article articles artist artists arts as asd
asia asian aside ask asked asking asks asleep aspect assume assuming at ate attack attend
attitude august aunt avatar avengers average avoid aw awake aware away awesome awful awhile
awkward aww awww babies baby back bacon bad badly bag baggage bags bake baking balance bale ball
ballroom band bank bar barely base based basement basic basis bath bathe bathroom batman battery
bc be beach beans bear beat beauty became because become becomes becoming bed bedroom beef been
beer before began begin behavior behind beijing being believe bell below belt ben bend benefit
benefits besides best bet better between beyond big bigger biggest bike biking bill bills bind
bio biology bird birds birth birthday bit bite black blame blank blast blessed blessing blind
block blocks blood blow blue board boarding boat bob bodies body bold bomb bone bonus book
booked books bored boring born borrow boss boston bot both bother bots bottle bottles bottom
bought bowl box boxes boy boys brain brains bran branch brand brazil brb bread break breaking
breaks breath breathe bridge bright bring brings british bro broke broken brook brother brothers
brought brown bubble bucks buddy budget bug bugs build building built bummer bun bunch burger
burn bus buses business busy but butter button buy buying by bye byu cable cafe cake calc
calculus call called calling calls calm came camera camp camping campus can canada cancel cancer
candy cannot cant canyon capable captain car card cards care career careful carolina carpet
carry cars case cases cash cast casual cat catch catching cats caught causal cause caused causes
cell center central cents cereal certain chair chance chances change changed changes changing
channel charge chat chats chatted chatting cheap cheaper check checked checking cheese chem
chess chicago chick chicken child children chill chilling china chinese chip chips chit choice
choices choir choose choosing chop chose christ church cinema circle cite cities city civil
claim claire class classes classic clean cleaning clear clearly clever click client clients
cliff climate climb climbing clock close closed closer closest cloth clothe clothes clothing
cloud clown club clubs clue co coach coast coat code coding coffee coin coke cold colder collect
college color colors com combined come comedy comes comfort comics coming common company compare
compared compete complain complete complex computer concept concepts concert confirm confused
congrats connect consider contact content contest continue contract control convince cook cooked
cookie cookies cooking cooks cool cooler coolest copy core cork corn corner correct cost costs
could couldnt count counter country counts couple course courses court cousin cousins cover
covered cow crap crash craziest crazy cream create created creating creative credit credits
creepy cried crime crook cross crowd crowded crown cruise crush cry crying cs cultural culture
cultures cup curious currency current customer cut cute cutting cuz cyber dad daily dairy dale
damage dance dancer dances dancing dang dare dark darling darn data date dated dates dating
daughter david day days dc dead deal dealing dear death debt december decent decide decided
decision deep deer define degree degrees deliver delivery demand dental dentist depend depends
deposit describe desert deserve design designed designer desire desk dessert destroy detail
details develop diary did didnt die died diet digital dine dinner dip direct directly director
dirt dirty disagree discount discuss disease dish dishes dislike disney distance do doctor
doctors does doesnt dog dogs doing dollar dollars donate done dont door dope double doubt dough
down download downtown dozen dr dragon dragons drain drama draw drawing dream dreams dress
dressed dressing drink drinking drinks drip drive driven driver drives driving drop dropped
drove drown drug drugs drunk dry ducks dude due dumb dunno during dutch duty dyed dying each ear
earlier early earn ears earth easier easily east easy eat eaten eating econ economic economy
edge editing effect effects effort egg eggs eh eight either elder electric elon else email
emails emotion emotions emphasis employee empty end ended ending ends energy engaged engineer
england english enjoy enjoyed enjoying enough enter entire entirely episode episodes er essay
essays estate etc europe eve even evening event events ever every everyday everyone evidence
evil ex exact exactly exam example exams except exchange excited exciting excuse exercise exist
expect expected expenses expert explain explore express extra extreme eye eyes face facebook
fact factory facts fail failed fair fairly faith fake fall falling falls familiar families
family famous fan fancy fans fantasy far fare farm fashion fast faster fat father fault fav
favor favorite fear features fed fee feed feel feeling feelings feels fees feet fell felt female
festival fever few fi fiction field fields fifteen fifth fifty fight fighting figure figured
figures figuring fil file files fill filled film films final finally finals finance find finding
fine finger fingers finish finished fire firm first fish fishing fit fitness fits five fix fixed
flash flat flavor flavors flexible flight flip floor florida flower flowers fluent fly flying
focus focused fold follow followed food foods foot football for force forced foreign forest
forever forget forgive forgot form formal forms forth fortnite forty forward found four fourth
france frank freak freaking free freedom freeze freezing french fresh freshman freshmen friday
fridge fried friend friendly friends fries frisbee from front frown frozen fruit full fully fun
function fund funny further future gain galaxy gale game games gaming gap garage garbage garden
gas gate gave gear gender general generals genius genre george german germany get gets getting
ghost giant gift gifts girl girls give given gives giving glad glass glasses global go goal
goals god goes going gold golden golf gone gonna good goodbye goodness goods google gorgeous
gosh gospel got gotcha gotta gotten gpa grab grad grade grades graduate grain grand grandma
grandpa granted graphic grass grateful great greatest greek green grew grip grocery gross ground
group groups grow growing grown growth guess guessed guessing guest guests guide guitar gun guns
guy guys gym ha habit habits had hah haha hahah hahaha hahahah hahahaha hail hair half hall hand
handle hands hang hanging happen happened happens happy hard harder hardest hardly hardware
harry has hat hate hated have havent having hawaii he head headache headed heading heads health
healthy hear heard hearing heart heat heaven heavenly heavy heck heh hehe height helaman held
hello help helped helpful helping helps her here heritage hero hes hey hi hide high higher
highest highly hike hikes hiking hill him himself hip hire hired his history hit hitting hm hmm
hmmm hmmmm hobbies hobby hold holder holding hole holiday holidays holy home homeless homework
honest honestly honey hong honor honors hook hop hope hoping horn horrible horror horse horses
hose hosed hospital hot hotel hour hours house houses housing how however hows huge huh hulu
human humans humble humid humor hundred hundreds hungry hurry hurt hurts husband ib ice id idaho
idea ideal ideas idk if ignore ill im image imagine impact improve in include included includes
income incoming increase indeed india industry infinity info ink insane inside inspired instance
instead intense interact interest internet into intro invest invested invite invited involved
ipad ipads iphone iron is ish island isnt issue issues it italian italy items its itself ive
jack jackson jaezo jail jam james jane japan japanese jarvis jazz jealous jeans jelly jenny
jesus jim jk job jobs joe john join joke jokes joking jones journey joy judge juice july jump
jumped jumping june junior just keep keeping keeps kept key keyboard keys kick kid kidding kids
kill killed killer killing kind kinda kinds king kiss kitchen knew knock know knowing known
knows kong korea korean la lab labor labs lack ladies lady laid lake lame land landed language
laptop large larger las last late lately later latest latin laugh laughed laughing laundry law
laws lay lazy lds lead leader leaders leading league learn learned learning least leather leave
leaves leaving left leg legal legend legit legs lemon lend length less lesson lessons let lets
letter letters letting level levels li library license lick licks lie life lift lifting light
lights like liked likely likes liking lime limit limited limp line lines link linux lion lip
lips list listen listened lit little live lived lives living load loan loans local located
location log logic logical loin lol london lonely long longer longest look looked looking looks
loon loose lord lose losing loss lost lot lots loud louse love loved lovely loves loving low
lower luck luckily lucky luggage lunch lying mac macbook machine machines mad madam made
magazine magic magical mail main mainly maintain major majoring majority majors make makes
making male mall man manage managed manager many map mark market marriage married marry mars
marvel mary massive master masters match matched material math matter matters may maybe me meal
meals mean meaning means meant meat med media medical medicine medium meet meeting meetings
member members memes memories memory men mend mental mention menu mess message messages messed
met metal mexican mexico michael mid middle midnight midterm midterms might mike mile miles
military milk million millions min mind minds mine mini minimum minor mint minute minutes miss
missed missing mission missions mistake mistakes mix mixed mm mmm mmmm mobile mode model models
modern mold mom moment moments monday money monica month monthly months mood moon moose moral
more mormon morning most mostly mother mothers motor mountain mouse mouth move moved moves movie
movies moving mozart mr mrs ms much multi multiple mum murder museum music musical musicals musk
must mutual my myself mystery nah nail name named names nap naruto nasty nation national native
natural nature near nearby nearly neat nebraska neck need needed needs negative neither nerd
nervous net netflix network never new news next nice nicer nigeria night nights nine no nobody
noise non none noodles nook noon nope nor normal normally north northern nose not note notes
nothing notice noticed novel now nowadays nowhere number numbers nun nurse nursing nuts oakland
object obsessed obvious ocean october odd odds of off offended offer offered offers office
official often oh ohh ohhh ohhhh oil ok okay old older oldest omg on once one ones online only
onto oof ooh ooo oooh oooo ooooh oops open opened opening opera opinion opinions opposite option
options or orange order ordered orders oregon organic original other others ouch our ours out
outdoors outside oven over overall overseas overtime owe own pack package packed packing page
pages paid pain painful paint painting pair paired pale pan panther pants paper papers parent
parents paris park parking parks part parties partner parts party pass passed passion passport
past pasta paste path patient paul pay paying payment pays pc peace peanut peanuts pen people
peoples per percent perfect perform perhaps period person personal pet peter pets phd phone
phones photos physical physics piano pick picked picking picky picnic picture pictures pie piece
pieces pig pigs pine ping pink pitch pity pixar pizza place places plain plan plane planet
planned planning plans plant plants plastic plate platform play played player players playing
plays pleasant please pleased pleasure plenty plot plus pm point points pokemon police policy
politics pong pool poor pop popular pork position positive possible possibly post pot potato
potatoes potter pound pounds power powerful powers practice pre prefer prepare prepared present
press pressure pretend pretty prevent previous price prices prime print private prize prizes pro
probably problem problems process produce product products profit program programs progress
project projects prom promise promised prompt prompts proof proper properly property protect
proud prove provide provo psych public pull pulled pulling pun puppy purchase pure purple
purpose push pushed pushing put puts putting python quality quarter queen question quick quickly
quiet quit quite quote race rack radio raffle rail rails rain raining rains raise raised ran
random randomly rang range rap rare rarely rate rather re reach reached read reading ready real
reality realize realized really reason reasons receipt receive received recent recently record
records red reduce register regret regular reign rein relate related relax relaxed relaxing
release religion relive remember remind reminds rent repeat replace reply report require
required requires research reserve respect respond response rest result results resume return
review rib rice rich rid ride riding right rights rind ring rings rip risk river rn road roast
robot robots rock rocks role roll rolls romance romantic roof rook room roommate rooms rose
rough round route row rude ruin rule rules run rung running runs rush russia russian sad sadly
safe safety said sail salad salary sale sales salt sam same san sand sandwich sang sat saturday
sauce save saved saving savings saw say saying says scale scare scared scary scene schedule
school schools sci science score scores screen sea seafood search season seasons seat seats
seattle sec second seconds secret section security see seeing seem seemed seems seen self sell
selling semester seminary send sending senior sense sent sentence sentient separate series
serious serve served service services serving set sets setting settle settled seven several
shake shall shame shanghai shape share sharing sharp she shes shift ship shipment shirt shirts
shoe shoes shoot shooting shop shopping short shot should show showed shower showing showman
shows shrimp shroud shut shy siblings sick side sides sight sign signed signs silly similar
simple simply sin since sing singer singing single sip sir siri sister sisters sit site sites
sitting six size ski skiing skill skills skin skip sky sleep sleeping slept slightly slip slit
slow slowly small smaller smart smell smells smile smith smoke smoking smooth snack snap snow so
soccer social society soda soft software solar sold sole solid solo solution solve solving some
somebody someday somehow someone sometime somewhat son song songs soo soon sooo soooo sooooo
sore sorry sort sorta sorts soul sound sounded sounds soup sour source south southern space
spain spanish spare speak speaking speaks special species specific speech speed spell spelling
spend spending spent spicy spider spin spirit spit split spoke spoken sport sports spot spots
spread spring square st staff stage stairs stake stand standard standing stands star stars start
started starting starts state states station stats stay stayed staying steak steal stem step
steps steven stick still stinks stock stocks stolen stomach stone stop stopped stops store
stores stories storm story straight strange stranger street streets strength stress stressed
strict string strong stronger struggle stuck student students studied studies studio study
studying stuff stupid style styles subject subjects subway success such suck sucked sucks sudden
suddenly sued sugar suggest suit suits summer sun sunday sung sunny super supply support suppose
supposed sure surely surfing surgery surprise survive susan sushi swear sweat sweater sweet swim
swimming swing switch switched system systems ta table taco tail taiwan take taken takes taking
tale talent talented talk talked talking talks tall tan target taste tastes tasty taught tax
taxes taxi taylor tbh tea teach teacher teachers teaches teaching team teams tech ted teeth tell
telling tells temple ten tend tennis term terms terrible terribly tesla test testing tests texas
text texting thai thailand than thank thanks thanos that thats the theater theatre their them
then theories theory there theres these they thick thin thing things think thinking thinks third
thirty this tho thomas thor those though thought thoughts thousand three threw through throw
throwing thursday thus ticket tickets tie tight till time times tiny tip tips tired title to
toast today together toilet told tom tomorrow ton tone tongue tonight tons tony too took top
topic topics total totally touch tough tour towards tower town track trade trading traffic trail
train trained training transfer trash travel traveled treat tree trees trek trial trick tried
tries trip trips trouble truck true truffles truly trump trust truth try trying tuesday tuition
turn turned turning turns tv twelve twenty twice twin two type typed types typical typing ugh
ugly uh uhh ultimate um umm ummm uncle under unicorn unicorns unique united universe unless
until up upon ups upset urgent us use used useful user username uses using usual usually utah ux
vacation valid valley value values van vanilla variety various vegas version very video videos
view vine violin virginia virtual virus visa vision visit visited visiting voice vote voting vr
wait waiter waiting wake walk walked walking walks wall walls wand wang wanna want wanted
wanting wants war ward warm warming warning wars wart was wash washing wasnt waste watch watched
watching water wave waves way ways wbu we weak wear wearing weather web website websites wedding
week weekend weekends weeks weight weird welcome well went were west western wet what whatever
whatnot whats wheel when whenever where whether which while white who whoa whoever whole whoops
whose why wicked wide wife wifi wild will willing win wind window windows wine wings winning
wins winter wise wish with withdraw within without woah woke wolf woman women won wonder
wondered wonk wont wood word words work worked workers working works world worm worried worries
worry worrying worse worst worth would wouldnt wow wrap wrist write writing written wrong wrote
xd ya yard yay yea yeah year years yellow yep yes yesss yet yikes yo york you youll young
younger youngest your youre yours yourself youth youtube youve yuan yummy yup zero zip zone zoo
""".split()
)
"""The most frequent words of two to eight letters in everyday talk, and some that are one typing
mistake away from others."""
